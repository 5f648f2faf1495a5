//! May a user read the maps of a process, and which rule decides.
