//! The command as users meet it: through its binary.

mod advise;
mod audit;
mod errors;
mod explain;
mod launch;
mod leaks;
mod machine;
mod names;
mod output;
mod release;
mod support;
mod targets;
mod tune;
mod values;
mod watch;
