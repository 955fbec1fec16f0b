//! Databases of JupyterHub that become ours, and those that do not.

mod hostile;
mod hub;
mod moving;
mod opening;
mod repeated;
