"""nn.Modules: parameters, no optimizer, no logging."""
