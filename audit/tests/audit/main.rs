//! What the journal promises, as a caller sees it.

#[cfg(test)]
mod append;
#[cfg(test)]
mod checkpoint;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod export;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod merkle;
#[cfg(test)]
mod record;
#[cfg(test)]
mod vector;
#[cfg(test)]
mod world;
