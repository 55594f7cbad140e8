"""The sample networks in torch, and how they are trained: one thread, fixed seeds."""

import math

import torch
from torch import nn
from torch.nn import functional

CLASSES = 10
BATCH_SIZE = 64
WEIGHT_DECAY = 0.01


class Mlp(nn.Module):
    """64 -> width -> width -> 10 with ReLU. Takes images [batch, 1, 8, 8]."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(64, width)
        self.fc2 = nn.Linear(width, width)
        self.fc3 = nn.Linear(width, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(self.fc1(image.flatten(1)))
        return self.fc3(functional.relu(self.fc2(hidden)))


class Cnn(nn.Module):
    """Stem, one residual block, a strided depthwise and a 1x1 convolution, each with batch normalization."""

    def __init__(self, channels: int = 64):
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(channels)
        self.residual1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.residual1_norm = nn.BatchNorm2d(channels)
        self.residual2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.residual2_norm = nn.BatchNorm2d(channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(2 * channels)
        self.classifier = nn.Linear(2 * channels, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stem = functional.relu(self.stem_norm(self.stem(image)))
        branch = functional.relu(self.residual1_norm(self.residual1(stem)))
        joined = functional.relu(stem + self.residual2_norm(self.residual2(branch)))
        narrowed = functional.relu(self.depthwise_norm(self.depthwise(joined)))
        features = functional.relu(self.pointwise_norm(self.pointwise(narrowed)))
        return self.classifier(features.mean(dim=(2, 3)))


class Lstm(nn.Module):
    """Reads the 8 rows of an image from top to bottom and classifies the last hidden state."""

    def __init__(self, hidden_size: int = 128):
        super().__init__()
        self.lstm = nn.LSTM(8, hidden_size, batch_first=True)
        self.classifier = nn.Linear(hidden_size, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(image.squeeze(1))
        return self.classifier(hidden.squeeze(0))


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and feed-forward network, [batch, 64, width] to the same shape."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.contract = nn.Linear(2 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        normed = self.norm1(tokens)
        query, key, value = (self.split_heads(layer(normed)) for layer in (self.query, self.key, self.value))
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        attended = tokens + self.project(mixed)
        return attended + self.contract(functional.gelu(self.expand(self.norm2(attended))))

    def split_heads(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, 64, width] -> [batch, heads, 64, width / heads]."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Transformer(nn.Module):
    """Pixels as token ids 0..16, int64 [batch, 64] -> two encoder blocks -> mean over tokens -> 10 logits."""

    def __init__(self, width: int = 64, heads: int = 4, blocks: int = 2):
        super().__init__()
        # Tokens start ordered by darkness and positions as row + column: from unordered starts, 1,197 images
        # are too few to learn either, and evaluation accuracy stays near 0.90.
        darkness = torch.arange(17).unsqueeze(1) / 16
        tokens = darkness * torch.randn(1, width) + 0.05 * torch.randn(17, width)
        self.token_embedding = nn.Embedding.from_pretrained(tokens, freeze=False)
        positions = torch.randn(8, 1, width) + torch.randn(1, 8, width)
        self.position_embedding = nn.Parameter(positions.reshape(64, width))
        self.blocks = nn.ModuleList(EncoderBlock(width, heads) for _ in range(blocks))
        self.final_norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, CLASSES)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.token_embedding(tokens) + self.position_embedding
        for block in self.blocks:
            hidden = block(hidden)
        return self.classifier(self.final_norm(hidden).mean(dim=1))


def use_one_deterministic_thread(seed: int) -> None:
    """Seeds torch and keeps it to one thread, so that a second run gives the same bits on the same machine."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def train(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    """AdamW with a one-cycle learning rate (peak 3e-3); leaves the network in evaluation mode."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=WEIGHT_DECAY)
    batches = math.ceil(len(labels) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * batches)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(BATCH_SIZE):
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    network.eval()
