//! One chip, one code: grant, block in flash, check.
