"""Test scripts in pytest style: their detection, and the plugin that gives tests the machines.

embed/run imports `style` to tell the style of a script and `run` to run pytest; those import the rest. All code here
runs on the main thread, unless a function says otherwise.
"""
