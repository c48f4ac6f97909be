"""Test scripts in pytest style: their detection, and the plugin that gives them the machines."""
