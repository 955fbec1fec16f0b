//! What middlewares do to requests and answers.
