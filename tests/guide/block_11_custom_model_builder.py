# Repaired: the run that the builder is for, added.
def custom_model_builder(params):
    import torch.nn as nn

    class CustomNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(10, params["hidden_size"])
            self.fc2 = nn.Linear(params["hidden_size"], 2)

        def forward(self, x):
            x = torch.relu(self.fc1(x))
            return self.fc2(x)

    return CustomNet()

pipeline.model_builder = custom_model_builder

await pipeline.execute()
