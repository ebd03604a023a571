"""`make demo`: the main job on two real control planes, told step by step and checked."""
