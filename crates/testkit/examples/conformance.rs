//! The conformance suite against an endpoint:
//! `cargo run -p vodferry-testkit --features conformance --example conformance -- ENDPOINT BUCKET [FILTER]`.
//! `docs/reference/conformance.md` tells the variables of the environment.

use std::process::ExitCode;

use vodferry_oss::{Credential, Secret, Style};
use vodferry_testkit::conformance::{Signing, Target, run};

#[tokio::main]
async fn main() -> ExitCode {
    let target = match target() {
        Ok(target) => target,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let filter = std::env::args().nth(3).unwrap_or_default();
    match run(&target, &filter).await {
        Ok(report) => {
            println!("{report}");
            if report.runs.is_empty() {
                eprintln!("error: no case is called {filter}");
                return ExitCode::from(2);
            }
            ExitCode::from(u8::from(report.failed().next().is_some()))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn target() -> Result<Target, String> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().ok_or("usage: conformance ENDPOINT BUCKET [FILTER]");
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let needed = |name: &str| variable(name).ok_or(format!("{name} is not set"));
    Ok(Target {
        endpoint: argument()?,
        bucket: argument()?,
        credential: Credential {
            access_key_id: needed("VODFERRY_ACCESS_KEY_ID")?,
            access_key_secret: Secret::new(needed("VODFERRY_ACCESS_KEY_SECRET")?),
            security_token: variable("VODFERRY_SECURITY_TOKEN").map(Secret::new),
        },
        style: match variable("VODFERRY_STYLE").as_deref() {
            None | Some("auto") => Style::Auto,
            Some("path") => Style::Path,
            Some("virtual-host") => Style::VirtualHost,
            Some("cname") => Style::Cname,
            Some(other) => {
                return Err(format!(
                    "VODFERRY_STYLE is {other}: auto, path, virtual-host or cname"
                ));
            }
        },
        signing: match variable("VODFERRY_SIGNING").as_deref() {
            None | Some("v4") => Signing::V4,
            Some("v1") => Signing::V1,
            Some(other) => return Err(format!("VODFERRY_SIGNING is {other}: v4 or v1")),
        },
        region: variable("VODFERRY_REGION").unwrap_or_else(|| "cn-shanghai".into()),
    })
}
