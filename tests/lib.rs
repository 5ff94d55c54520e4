//! Journeys across the whole house, house rules, the fixture zoo.
