//! What the activation formats and books promise, as a caller sees it.

#[cfg(test)]
mod block;
mod books;
mod code;
mod corpus;
mod hostile;
mod modes;
mod pool;
mod vector;
#[cfg(test)]
mod world;
