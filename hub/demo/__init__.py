"""The demo (`make run`, `hub demo`): one true charge through the whole house, against fakes in other processes."""
