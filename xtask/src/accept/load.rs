//! A load generator for HTTP services on loopback: a few connections that are kept alive, each
//! sending its next request when the last is answered.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running load.
pub struct Load {
    began: Instant,
    stop: Arc<AtomicBool>,
    connections: Vec<JoinHandle<Vec<Request>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it was sent, from the load's beginning.
    pub sent: Duration,
    /// How long the answer took.
    pub took: Duration,
    /// What went wrong.
    pub failure: Option<String>,
}

impl Load {
    /// Starts to send requests for `path` to a port on loopback.
    pub fn start(port: u16, path: &str, connections: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let connections = (0..connections)
            .map(|_| {
                let (stop, path) = (stop.clone(), path.to_owned());
                std::thread::spawn(move || keep_asking(port, &path, began, &stop))
            })
            .collect();
        Load {
            began,
            stop,
            connections,
        }
    }

    /// Time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends the load and returns its requests.
    pub fn finish(self) -> Vec<Request> {
        self.stop.store(true, Ordering::Relaxed);
        self.connections
            .into_iter()
            .flat_map(|one| one.join().unwrap_or_default())
            .collect()
    }
}

/// What went wrong in the requests, the first few.
pub fn failures(requests: &[Request]) -> (usize, String) {
    let failed: Vec<_> = requests
        .iter()
        .filter_map(|request| request.failure.clone())
        .collect();
    let first: Vec<_> = failed.iter().take(2).cloned().collect();
    (failed.len(), first.join("; "))
}

fn keep_asking(port: u16, path: &str, began: Instant, stop: &AtomicBool) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let sent = began.elapsed();
        let answer = match &mut connection {
            Some(open) => ask(open, path),
            none => connect(port).and_then(|open| ask(none.insert(open), path)),
        };
        let failure = match answer {
            Ok(true) => None,
            Ok(false) => {
                connection = None;
                None
            }
            Err(why) => {
                connection = None;
                std::thread::sleep(Duration::from_millis(5));
                Some(format!("{why:#}"))
            }
        };
        requests.push(Request {
            sent,
            took: began.elapsed() - sent,
            failure,
        });
    }
    requests
}

fn connect(port: u16) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(BufReader::new(stream))
}

/// Sends a request and reads its answer; whether the connection stays open.
fn ask(connection: &mut BufReader<TcpStream>, path: &str) -> Result<bool> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut status, mut length, mut chunked, mut open) = (String::new(), None, false, true);
    connection.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        ensure!(
            connection.read_line(&mut line)? > 0,
            "the connection ended within an answer"
        );
        let line = line.trim_end().to_ascii_lowercase();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        match (name, value.trim()) {
            ("content-length", value) => length = Some(value.parse::<u64>()?),
            ("transfer-encoding", "chunked") => chunked = true,
            ("connection", "close") => open = false,
            _ => {}
        }
    }
    if chunked {
        while chunk(connection)? > 0 {}
    } else if let Some(length) = length {
        let read = std::io::copy(&mut connection.take(length), &mut std::io::sink())?;
        ensure!(read == length, "{read} of {length} bytes");
    } else if !open {
        std::io::copy(connection, &mut std::io::sink())?;
    } else {
        bail!("an answer without a length");
    }
    let code = status.split(' ').nth(1).context("no status line")?;
    ensure!(code == "200", "status {code}");
    Ok(open)
}

fn chunk(connection: &mut BufReader<TcpStream>) -> Result<u64> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let length = u64::from_str_radix(line.trim(), 16)?;
    std::io::copy(&mut connection.take(length + 2), &mut std::io::sink())?;
    Ok(length)
}
