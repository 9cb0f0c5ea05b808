"""Ships the configurations of `zoo_configs/` inside the package; everything else about the package is in setup.cfg."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["sb3_diiqn", "sb3_diiqn.*"]), "sb3_diiqn.zoo.configs"],
    package_dir={"sb3_diiqn.zoo.configs": "zoo_configs"},
)
