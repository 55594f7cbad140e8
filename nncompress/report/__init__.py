"""How results are judged and shown: plain result types, the verdict, and one file a renderer."""
