//! What hub and station say to each other, as plain data.
