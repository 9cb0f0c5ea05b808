"""For rl-zoo. `sb3_diiqn.zoo.configs` holds the files of `zoo_configs/`."""
