//! Boards that speak the real wire protocols from their own processes, with fault levers.
