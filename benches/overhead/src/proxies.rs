//! The programs that are compared: how each is configured, started, and found ready.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::client::{Client, Shape, Template};
use crate::process::Process;

/// How long a proxy may take to its first reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a proxy is started.
pub(crate) struct Recipe {
    pub(crate) name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    address: SocketAddr,
}

/// A proxy that answers.
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    /// From the start of the process to the end of its first reply.
    pub(crate) start_up: Duration,
    /// Size of the program, in bytes.
    pub(crate) binary_bytes: u64,
    /// Resident memory after the first reply, in bytes.
    pub(crate) idle_bytes: u64,
}

/// Where everything of one run is: a folder of its own, and the mock that all proxies pass on to.
pub(crate) struct Site<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) upstream: SocketAddr,
}

/// An address of loopback on which nothing listens now.
fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl Site<'_> {
    fn recipe(&self, name: &str, program: PathBuf) -> io::Result<Recipe> {
        Ok(Recipe {
            name: name.to_owned(),
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            log: self.folder.join(format!("{name}.log")),
            address: free_address()?,
        })
    }

    /// This very program in its other role.
    pub(crate) fn bare(&self) -> io::Result<Recipe> {
        let mut recipe = self.recipe("bare", std::env::current_exe()?)?;
        recipe.arguments = vec![
            "bare".into(),
            recipe.address.to_string().into(),
            self.upstream.to_string().into(),
        ];
        Ok(recipe)
    }

    /// nginx, if it is installed.
    pub(crate) fn nginx(&self) -> io::Result<Option<Recipe>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let Some(program) = std::env::split_paths(&path)
            .map(|folder| folder.join("nginx"))
            .find(|file| file.is_file())
        else {
            return Ok(None);
        };
        let mut recipe = self.recipe("nginx", program)?;
        let config = self.folder.join("nginx.conf");
        fs::write(
            &config,
            nginx_config(self.folder, recipe.address, self.upstream),
        )?;
        let error_log = self.folder.join("nginx-error.log");
        recipe.arguments = [
            "-p".into(),
            self.folder.into(),
            "-c".into(),
            config.into(),
            "-e".into(),
            error_log.into(),
        ]
        .into();
        Ok(Some(recipe))
    }

    /// millgate with every stage there is, or with a config of the operator's.
    ///
    /// The config finds in its environment where to listen (`OVERHEAD_LISTEN`, `OVERHEAD_ADMIN`) and the
    /// upstream (`OVERHEAD_UPSTREAM`), all as `HOST:PORT`.
    pub(crate) fn millgate(&self, program: &Path, config: Option<&Path>) -> io::Result<Recipe> {
        let name = match config.and_then(Path::file_stem) {
            Some(stem) => format!("millgate {}", stem.to_string_lossy()),
            None => "millgate".to_owned(),
        };
        let mut recipe = self.recipe(&name, program.to_owned())?;
        let whole = self.folder.join("millgate.toml");
        fs::write(&whole, ALL_STAGES.to_owned() + MILLGATE_CONFIG)?;
        let config = config.unwrap_or(&whole);
        recipe.arguments = vec!["serve".into(), "--config".into(), config.into()];
        recipe.environment = vec![
            ("OVERHEAD_LISTEN".to_owned(), recipe.address.to_string()),
            ("OVERHEAD_ADMIN".to_owned(), free_address()?.to_string()),
            ("OVERHEAD_UPSTREAM".to_owned(), self.upstream.to_string()),
            (
                "STATE_DIRECTORY".to_owned(),
                self.folder
                    .join(&name)
                    .with_extension("state")
                    .display()
                    .to_string(),
            ),
        ];
        Ok(recipe)
    }

    /// millgate without any stage, and with each one alone.
    pub(crate) fn each_stage(&self, program: &Path) -> io::Result<Vec<Recipe>> {
        let recipe = |(name, pipeline): &(&str, &str)| self.with_stages(program, name, pipeline);
        EACH_STAGE.iter().map(recipe).collect()
    }

    /// millgate with three stages, all of whose hooks do something.
    pub(crate) fn three_stages(&self, name: &str, program: &Path) -> io::Result<Recipe> {
        self.with_stages(program, name, THREE_STAGES)
    }

    /// millgate without any stage, by how much of its exchanges it keeps and tells.
    pub(crate) fn each_way_of_observing(
        &self,
        program: &Path,
        collector: SocketAddr,
    ) -> io::Result<Vec<Recipe>> {
        let traces =
            |sample| format!("[traces]\nendpoint = \"http://{collector}\"\nsample = {sample}\n");
        let ways = [
            ("no ledger", "[ledger]\nenabled = false\n".to_owned()),
            ("ledger", String::new()),
            ("ledger, traces of 1 %", traces("0.01")),
            ("ledger, traces of all", traces("1.0")),
        ];
        let recipe = |(name, tables): &(&str, String)| {
            let config = self.folder.join(format!("{name}.toml"));
            let pipeline = "pipeline = [\"route\"]\n";
            fs::write(&config, format!("{pipeline}{MILLGATE_CONFIG}{tables}"))?;
            self.millgate(program, Some(&config))
        };
        ways.iter().map(recipe).collect()
    }

    fn with_stages(&self, program: &Path, name: &str, pipeline: &str) -> io::Result<Recipe> {
        let config = self.folder.join(name).with_extension("toml");
        fs::write(&config, format!("pipeline = {pipeline}\n{MILLGATE_CONFIG}"))?;
        self.millgate(program, Some(&config))
    }
}

/// The pipeline with every stage there is.
const ALL_STAGES: &str =
    "pipeline = [\"redact\", \"auth\", \"rate_limit\", \"cache\", \"route\", \"auth_header\"]\n";

/// Pipelines of one stage, and of none.
const EACH_STAGE: [(&str, &str); 6] = [
    ("none", r#"["route"]"#),
    ("redact", r#"["redact", "route"]"#),
    ("auth", r#"["auth", "route"]"#),
    ("rate_limit", r#"["rate_limit", "route"]"#),
    ("cache", r#"["cache", "route"]"#),
    ("auth_header", r#"["route", "auth_header"]"#),
];

/// A pipeline of three stages.
const THREE_STAGES: &str = r#"["auth", "rate_limit", "route", "auth_header"]"#;

/// The stages and a route, with the access log on. The limits are never reached, and the cache is asked every time.
const MILLGATE_CONFIG: &str = r#"

[server]
listen = "${OVERHEAD_LISTEN}"

[admin]
listen = "${OVERHEAD_ADMIN}"

[providers.mock]
kind = "openai"
base_url = "http://${OVERHEAD_UPSTREAM}/v1"
api_key = "sk-mock"

[callers.bench]
key = "sk-overhead-0123456789abcdef"
team = "bench"

[stages.redact]

[stages.auth]

[stages.rate_limit]
requests = "100M/min"
limits = [{ tokens = "1000M/min" }, { concurrent = 100000 }]

[stages.cache]
cacheable = "always"
max_size = "64MiB"

[stages.auth_header]
headers = { x-dep-ticket = "T-1", Send-System-Name = "bench", User-ID = "system", User-Type = "AD", Prompt-Msg-Id = "{uuid}", Completion-Msg-Id = "{uuid}" }

[routes.default]
model = "*"
targets = ["mock"]
"#;

/// nginx as a plain proxy that streams both ways and keeps its connections to the upstream.
fn nginx_config(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    // Started by root it would change to a user who cannot write to the folder.
    let is_root =
        fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"));
    let user = if is_root { "user root;" } else { "" };
    let folder = folder.display();
    format!(
        "{user}
        daemon off;
        worker_processes 2;
        pid {folder}/nginx.pid;
        events {{ worker_connections 4096; }}
        http {{
            access_log off;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            tcp_nodelay on;
            client_max_body_size 64m;
            client_body_buffer_size 256k;
            keepalive_requests 1000000000;
            upstream mock {{
                server {upstream};
                keepalive 256;
                keepalive_requests 1000000000;
            }}
            server {{
                listen {listen};
                location / {{
                    proxy_pass http://mock;
                    proxy_http_version 1.1;
                    proxy_set_header Connection \"\";
                    proxy_buffering off;
                    proxy_request_buffering off;
                }}
            }}
        }}"
    )
}

impl Recipe {
    /// Starts the proxy and waits for its first reply.
    ///
    /// Fails where it ends, or does not answer in time.
    pub(crate) async fn start(&self) -> io::Result<Proxy> {
        let begin = Instant::now();
        let mut process =
            Process::start(&self.program, &self.arguments, &self.environment, &self.log)?;
        let mut client = connect(self.address, &mut process, begin)
            .await
            .map_err(|error| io::Error::other(format!("{}: {error}", self.name)))?;
        let shape = Shape {
            prompt_bytes: 64,
            korean: false,
            stream: false,
            same: false,
        };
        client
            .ask(&Template::new(shape))
            .await
            .map_err(|error| io::Error::other(format!("{}: {error}", self.name)))?;
        let start_up = begin.elapsed();
        let idle_bytes = process.resident();
        let binary_bytes = fs::metadata(&self.program)?.len();
        Ok(Proxy {
            name: self.name.clone(),
            address: self.address,
            process,
            start_up,
            binary_bytes,
            idle_bytes,
        })
    }
}

async fn connect(address: SocketAddr, process: &mut Process, begin: Instant) -> io::Result<Client> {
    loop {
        match Client::connect(address).await {
            Ok(client) => return Ok(client),
            Err(error) if begin.elapsed() > PATIENCE => return Err(error),
            Err(_) => process.check()?,
        }
        // Short against what is measured here; the runtime's timer would round it up to a millisecond.
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Starts the mock, and returns where it listens.
pub(crate) async fn start_mock(
    program: &Path,
    arguments: Vec<OsString>,
    folder: &Path,
) -> io::Result<(Process, SocketAddr)> {
    let process = Process::start(program, &arguments, &[], &folder.join("mock.log"))?;
    where_it_listens(process).await
}

/// Starts this very program as a collector of traces, and returns where it listens.
pub(crate) async fn start_collector(folder: &Path) -> io::Result<(Process, SocketAddr)> {
    let program = std::env::current_exe()?;
    let log = folder.join("collector.log");
    where_it_listens(Process::start(&program, &["collector".into()], &[], &log)?).await
}

async fn where_it_listens(mut process: Process) -> io::Result<(Process, SocketAddr)> {
    let address = process.printed("listening on http://").await?;
    let address = address
        .parse()
        .map_err(|_| io::Error::other(format!("it listens on no address: {address}")))?;
    Ok((process, address))
}
