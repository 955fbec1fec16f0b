//! Routes beyond users, in Traefik's language: said by containers' labels and by a file, read into one table.
//!
//! Each source's words become a tree (`node`), the tree a `draft` of routers, balancers and middlewares whose names
//! point at each other, and all drafts together the `table` that the edge asks. What is wrong becomes a `problem` with its place
//! and its cure, and whatever it was said for is not published: nothing is half applied.
//!
//! Traefik's words are used here and nowhere deeper. In our house a *service* is a program of the hub, so Traefik's
//! service is a **balancer** with **targets**.

mod draft;
mod node;
mod problem;

pub use draft::{Access, EntryPoint, ObjectName, Provider};
pub use node::{Fields, Node, NodeValue, quoted};
pub use problem::{Place, Problem, did_you_mean, nearest};
