//! Routes beyond users, in Traefik's language: said by containers' labels and by a file, read into one table.
//!
//! Each source's words become a tree (`node`), the tree a `draft` of routers, balancers and middlewares whose names
//! point at each other, and all drafts together the `table` that the edge asks. What is wrong becomes a `problem` with its place
//! and its cure, and whatever it was said for is not published: nothing is half applied.
//!
//! Traefik's words are used here and nowhere deeper. In our house a *service* is a program of the hub, so Traefik's
//! service is a **balancer** with **targets**.

mod access;
mod balancer;
mod build;
mod draft;
mod file;
mod labels;
mod lazy;
mod middleware;
mod name;
mod node;
mod problem;
mod rule;
mod serve;
pub mod sources;
mod table;
#[cfg(test)]
mod testing;
pub mod view;

pub use access::{Access, EntryPoint};
pub use balancer::{
    Balancer, BalancerDraft, Chosen, HealthChecks, NoTarget, Scheme, ServerTemplate, Target, TargetView,
};
pub use build::{Surroundings, build, check};
pub use draft::{
    ContainerTarget, Draft, IdleAfter, LazyContainer, RouterDefaults, RouterDraft, Said, client_certificate,
    identity_header,
};
pub use file::read as read_file;
pub use labels::{Container, DefaultRule, DefaultRuleError, read as read_labels};
pub use lazy::{Config as LazyConfig, DockerEngine, Engine, EngineError, Fact, Failed, Lazy, StartStep};
pub use middleware::{Beyond, Facts, Middleware, MiddlewareDraft, Next, NoAnswer, Retries, Step, Tools, run};
pub use name::{ObjectName, Provider};
pub use node::{Fields, Node, NodeValue, quoted, read_duration};
pub use problem::{Place, Problem, did_you_mean, nearest};
pub use rule::{Asked, Needs, PathNeed, Question, Rule, RuleError, Syntax};
pub use serve::{Progress, Routers, ServeError};
pub use table::{Published, Router, SourceState, Table};
