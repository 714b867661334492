//! End-to-end tests and the demo: packets through a real kernel in a VM.
