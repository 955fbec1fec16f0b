//! What the command line says, and what is refused.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

fn checked(line: &str) -> Result<Checked, String> {
    let words = std::iter::once("chp").chain(line.split(' ').filter(|word| !word.is_empty()));
    let program = Program::try_parse_from(words).map_err(|error| error.to_string())?;
    check(&program.arguments, |_| None).map_err(|mistake| mistake.to_string())
}

fn config(line: &str) -> Config {
    match checked(line) {
        Ok(checked) => checked.config,
        Err(mistake) => panic!("{line}: {mistake}"),
    }
}

#[test]
fn places_are_those_of_the_program_that_we_stand_for() {
    let check = |line: &str, public: &str, api: &str, metrics: Option<&str>| {
        let config = config(line);
        let metrics_found = config.metrics.as_ref().map(ToString::to_string);
        assert_eq!((config.public.to_string(), config.api.to_string()), (public.into(), api.into()), "{line}");
        assert_eq!(metrics_found.as_deref(), metrics, "{line}");
    };
    check("", "*:8000", "localhost:8001", None);
    check("--port=9000", "*:9000", "localhost:9001", None);
    check("--ip * --port 0", "*:8000", "localhost:8001", None);
    check("--ip= --api-ip=127.0.0.1 --api-port 7", "*:8000", "127.0.0.1:7", None);
    check("--ip ::1 --port 1 --port 2", "[::1]:2", "localhost:3", None);
    check("--socket /s --api-socket=/a --metrics-socket /m", "/s", "/a", Some("/m"));
    check("--socket /s --metrics-port 9", "/s", "localhost:8001", Some("*:9"));
}

#[test]
fn what_cannot_be_done_is_refused() {
    let check = |line: &str, part: &str| match checked(line) {
        Ok(_) => panic!("{line} passed"),
        Err(mistake) => assert!(mistake.contains(part), "{line}: {mistake}"),
    };
    check("--nonsense", "--nonsense");
    check("--port 80a", "--port");
    check("--socket /s --port 8000", "cannot be used with");
    check("--redirect-port 8080", "HTTPS redirection specified but certificates not provided.");
    check("--error-path /e --error-target http://h", "Cannot specify both error-target and error-path");
    check("--custom-header nonsense", "A colon was expected in custom header: nonsense");
    check("--custom-header :x", "A colon was expected");
    check("--storage-backend redis", "cannot be loaded");
    check("--ssl-protocol SSLv3 --ssl-key k --ssl-cert c", "only TLSv1_2");
    check("--ssl-key k", "together");
    check("--ssl-key k --ssl-cert c --ssl-request-cert", "who may sign");
    check("--api-ssl-request-cert", "there is no TLS");
    check("--client-ssl-key k", "together");
    check("--log-level loud", "--log-level");
}

#[test]
fn what_we_lack_without_being_weaker_is_remarked() {
    let remarks = |line: &str| checked(line).map(|checked| checked.remarks.len());
    assert_eq!(remarks("--ssl-allow-rc4 --ssl-dhparam f --client-ssl-reject-unauthorized"), Ok(2));
    assert_eq!(remarks("--insecure"), Ok(1));
    assert_eq!(remarks(""), Ok(0));
}

#[test]
fn a_hub_of_jupyterhub_with_internal_tls_gets_what_it_asks_for() {
    let config = config(
        "--ip --port 8000 --api-ip 127.0.0.1 --api-port 8001 --error-target https://127.0.0.1:8081/hub/error \
         --log-level info --ssl-key k --ssl-cert c --api-ssl-key ak --api-ssl-cert ac --api-ssl-ca aca \
         --api-ssl-request-cert --api-ssl-reject-unauthorized --client-ssl-key ck --client-ssl-cert cc \
         --client-ssl-ca cca --client-ssl-request-cert --client-ssl-reject-unauthorized"
            .replace("--ip --port", "--ip= --port")
            .as_str(),
    );
    assert_eq!(config.api_tls.and_then(|tls| tls.client_authorities), Some("aca".into()));
    assert_eq!(config.public_tls.and_then(|tls| tls.client_authorities), None);
    assert_eq!(config.backend_tls.identity, Some(("cc".into(), "ck".into())));
    assert!(config.backend_tls.verifies && config.forwards && config.prepends_path && config.includes_prefix);
}

#[test]
fn headers_times_and_switches_are_read() {
    let config = config(
        "--custom-header k1:v1 --custom-header=k2:v:2 --timeout=500 --proxy-timeout 0 --keep-alive-timeout 1000 \
         --no-x-forward --no-prepend-path --no-include-prefix --auto-rewrite --change-origin --protocol-rewrite https \
         --host-routing --insecure --ssl-key k --ssl-cert c --redirect-port 8080 --redirect-to 443",
    );
    let headers: Vec<_> = config.custom_headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(headers, [("k1", &b"v1"[..]), ("k2", &b"v:2"[..])]);
    assert_eq!((config.timeout, config.proxy_timeout), (Some(Duration::from_millis(500)), None));
    assert_eq!(config.keep_alive_timeout, Duration::from_secs(1));
    assert!(!config.forwards && !config.prepends_path && !config.includes_prefix && !config.backend_tls.verifies);
    assert!(config.auto_rewrite && config.change_origin && config.host_routing);
    assert_eq!(config.redirect, Some(Redirect { port: 8080, to: 443, is_explicit: true }));
}

#[test]
fn the_token_comes_from_the_environment_or_a_file() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "from file\n").expect("written");
    let name = file.to_str().expect("text").to_owned();
    let token = |direct: &str, file: &str| {
        let (direct, file) = (direct.to_owned(), file.to_owned());
        let token = auth_token(move |name| Some(if name.ends_with("FILE") { file.clone() } else { direct.clone() }));
        token.map(|token| token.map(|token| token.expose().to_owned())).map_err(|mistake| mistake.to_string())
    };
    assert_eq!(token("direct", &name), Ok(Some("direct".to_owned())));
    assert_eq!(token("", &name), Ok(Some("from file".to_owned())));
    assert_eq!(token("", ""), Ok(None));
    assert!(token("", "/nonexistent").is_err());
    std::fs::write(&file, "\n").expect("written");
    assert!(token("", &name).is_err());
}
