//! What becomes of configurations as people have them.
