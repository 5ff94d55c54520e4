//! What the activation formats promise, as a caller sees it.

#[cfg(test)]
mod block;
mod code;
mod hostile;
mod vector;
#[cfg(test)]
mod world;
