//! What balancers choose.
