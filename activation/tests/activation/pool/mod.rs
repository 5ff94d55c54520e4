//! Pools: imported whole or not at all, lent disjoint, bound for ever, opened for one write.

mod binding;
mod importing;
mod lending;
mod schemas;
