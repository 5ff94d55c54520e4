//! What firmware links: who am I, check activation.
