//! What `doctor` checks. Checks look and never change anything.

pub mod machine;
pub mod process;

/// The hint for what only root, or a user with the right capability, may do. `sudo` looks for
/// programs in a path of its own (sudoers(5), secure_path), so the whole path is spelled out.
pub fn with_sudo(arguments: &str) -> String {
    let memshed = std::env::current_exe()
        .map(|path| path.display().to_string())
        .unwrap_or_else(|_| "$(which memshed)".to_string());
    format!("sudo {memshed} {arguments}").trim_end().to_string()
}
