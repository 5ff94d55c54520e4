//! The station: slots, visits, shelf of releases, operators, troubles, local API.
