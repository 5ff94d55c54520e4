//! R&D's command: keys, roots, packing, signing, looking, verifying. Needs no hub.
fn main() {}
