//! The server: tenants, releases, stations, orders, allotments, audit.
