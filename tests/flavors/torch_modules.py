"""Small networks of the kinds that people make."""

import torch
from torch import nn
from torch.nn import functional


class Sequence(nn.Module):
    """Recurrent layers over steps of several values."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 5, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(10, 6, batch_first=True)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        hidden, _ = self.gru(self.lstm(x)[0])
        return self.out(hidden[:, -1])


class Attention(nn.Module):
    """A transformer over tokens, which answers with a dictionary."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(50, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(16, 3)

    def forward(self, input_ids, attention_mask=None):
        padding = None if attention_mask is None else attention_mask == 0
        return {"logits": self.out(self.encoder(self.tokens(input_ids), src_key_padding_mask=padding).mean(1))}


class Ids(nn.Module):
    """Embeddings of columns of integers."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        return self.out(self.table(x).flatten(1))


class Two(nn.Module):
    """An input each for a number and for an index."""

    def __init__(self):
        super().__init__()
        self.users = nn.Embedding(10, 4)
        self.out = nn.Linear(5, 1)

    def forward(self, user, age):
        return self.out(torch.cat([self.users(user), age[:, None]], 1)).squeeze(-1)


class Modes(nn.Module):
    """Regions without gradients and of another precision."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        with torch.no_grad():
            scaled = x / x.abs().amax(-1, keepdim=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
            scaled = scaled * 2
        return self.out(scaled), None


class Branches(nn.Module):
    """Control flow as torch.cond has it."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 1)

    def forward(self, x):
        return torch.cond(self.out.weight.sum() > 0, self.out, lambda y: -self.out(y), (x,))


class Buffers(nn.Module):
    """Tensors of many kinds beside its weights: parts of one memory, empty ones, truth values, such as are not saved."""

    def __init__(self):
        super().__init__()
        whole = torch.arange(12.0)
        self.register_buffer("early", whole[1:5])
        self.register_buffer("late", whole.view(3, 4)[:, ::2].t()[1:])
        self.register_buffer("mask", torch.tensor([True, False, True, True]), persistent=False)
        self.register_buffer("small", torch.ones(4, dtype=torch.float16), persistent=False)
        self.register_buffer("empty", torch.zeros(0, 4))
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("turned", torch.view_as_complex(torch.ones(4, 2)))
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        moved = torch.where(self.mask, x * self.early, x) + self.small + self.late.sum()
        moved = moved * self.count + self.empty.sum()
        return self.out((moved * self.turned).abs()) * torch.tensor([1.0, float("inf")]).nan_to_num(posinf=2.0)


class Changing(nn.Module):
    """Changes its input, and sorts, splits and counts."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 1)
        self.norm = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))

    def forward(self, x):
        x.mul_(2)
        x[:, 0] = 1
        first, second = x.chunk(2, 1)
        _, places = torch.topk(second, 1)
        ranks = functional.one_hot(places.squeeze(1), 2).float()
        return self.out(torch.sort(first, 1)[0] + ranks + self.norm(x)) * x.shape[1]


def perceptron(outputs=3):
    """Return a network with what differs in training: dropout and batch normalization."""
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(8, outputs))


def convolutions():
    """Return a network over images."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Upsample(scale_factor=2),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
