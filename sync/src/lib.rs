//! The postman: carries documents, journal ranges and chunks; resumes; opens nothing.
