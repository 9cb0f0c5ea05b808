"""What connects inference with Stable-Baselines3: replay buffers, callback, guidance, and the mixins for a host algorithm."""
