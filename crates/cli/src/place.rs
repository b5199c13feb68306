//! Where uploads go and who permits it, put together from flags, environment and configuration file.
//!
//! The four ways (an application server; an address and auth; a bucket with an access key; the VOD API with one) exclude each other.
//! The first layer that names one of them decides which: a flag `--endpoint` is not disturbed by a `server` in the configuration file,
//! nor is anything by what `--mode` rules out. What else that
//! way needs is then taken from the first layer that has it, with one exception: the token of the configuration file goes only to the
//! server of the configuration file, because a bearer token sent to another server is a token lost.

use std::ffi::OsString;

use vodferry::{ApiSignature, Credential, DirectOss, File, Secret, Target};

use crate::cli::{Mode, PlaceArgs, StoreArgs, VodSignature};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::key::Key;
use crate::layers::{Layer, load_keys};
use crate::settings::Settings;

/// One way to be allowed to upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The application server says where each file goes; `report`: and hears what becomes of it.
    Server { url: String, token: Option<Secret>, report: bool },
    /// One file goes where the address says.
    Fixed { address: Secret, auth: Secret },
    /// Into a bucket, with keys of one's own.
    Store { store: Store, bucket: Option<String> },
    /// The VOD API, at a region or a URL, makes the videos and says where they go.
    Vod { api: String, key: Key, signature: ApiSignature },
}

/// An object storage and the key to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Store {
    pub(crate) endpoint: String,
    pub(crate) key: Key,
}

impl Place {
    /// The place that flags, environment and `settings` name.
    pub(crate) fn resolve(flags: &PlaceArgs, settings: &Settings) -> Result<Place, Failure> {
        let (environment, file) = (Layer::environment(&variable)?, Layer::file(settings));
        let mut place = resolve(flags.mode, &Layer::flags(flags), &environment, &file)?;
        match &mut place {
            Place::Server { report, .. } => *report = flags.report,
            _ if flags.report => {
                return Err(Failure::usage("--report goes with --server alone")
                    .hint("nobody else takes reports"));
            }
            Place::Vod { signature, .. } => {
                *signature = match flags.vod_signature.or(settings.vod_signature) {
                    Some(VodSignature::Acs3) => ApiSignature::Acs3,
                    Some(VodSignature::V1) | None => ApiSignature::V1,
                };
            }
            Place::Fixed { .. } | Place::Store { .. } => {}
        }
        Ok(place)
    }
}

impl Store {
    /// The file on its way to `target`, with a key that can be renewed where there is a command for it.
    pub(crate) fn place(&self, file: File, target: Target) -> File {
        match self.key.supplier() {
            Some(_) => file.target(target),
            None => file.to(target, self.key.credential().clone()),
        }
    }

    /// Who signs for the files placed by [`Store::place`], where that is not said once and for all.
    pub(crate) fn authorizer(&self) -> Result<Option<DirectOss>, Failure> {
        let Some(supplier) = self.key.supplier() else { return Ok(None) };
        Ok(Some(DirectOss::new(self.key.token.clone())?.supplier(supplier)))
    }

    /// The storage that flags, environment and `settings` name.
    pub(crate) fn resolve(flags: &StoreArgs, settings: &Settings) -> Result<Store, Failure> {
        let flags = Layer::store_flags(flags);
        let (environment, file) = (Layer::environment(&variable)?, Layer::file(settings));
        store(&[&flags, &environment, &file])
    }
}

/// The four ways.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Server,
    Fixed,
    Store,
    Vod,
}

impl Way {
    /// The way that a layer names; two are an error. What the mode rules out is passed over.
    fn named(layer: &Layer, name: &str, mode: Option<Mode>) -> Result<Option<Way>, Failure> {
        let named = [
            (Way::Server, layer.server.is_some()),
            (Way::Fixed, layer.address.is_some() || layer.auth.is_some()),
            (Way::Store, layer.endpoint.is_some()),
            (Way::Vod, layer.vod.is_some()),
        ];
        let named = named.into_iter().filter(|(_, is)| *is).map(|(way, _)| way);
        let mut named = named.filter(|way| way.suits(mode));
        let way = named.next();
        match named.next() {
            None => Ok(way),
            Some(_) => Err(Failure::usage(format!(
                "{name} names more than one of server, address and auth, endpoint, and vod"
            ))),
        }
    }

    /// Whether it is one of those that a mode means.
    fn suits(self, mode: Option<Mode>) -> bool {
        match mode {
            None => true,
            Some(Mode::Server) => self == Way::Server,
            Some(Mode::Address) => self == Way::Fixed,
            Some(Mode::Sts | Mode::Ak) => matches!(self, Way::Store | Way::Vod),
        }
    }
}

fn resolve(
    mode: Option<Mode>,
    flags: &Layer,
    environment: &Layer,
    file: &Layer,
) -> Result<Place, Failure> {
    let layers = [flags, environment, file];
    if let Some(way) = Way::named(flags, "the command line", None)?.filter(|way| !way.suits(mode)) {
        return Err(beside_the_mode(way, mode));
    }
    let way = match Way::named(flags, "the command line", mode)? {
        Some(way) => Some(way),
        // A bucket alone is no way, but it says that none of the others is meant.
        None if flags.bucket.is_some() && Way::Store.suits(mode) => Some(Way::Store),
        None => match Way::named(environment, "the environment", mode)? {
            Some(way) => Some(way),
            None => Way::named(file, "the configuration file", mode)?,
        },
    };
    match way {
        Some(Way::Server) => server(layers),
        Some(Way::Fixed) => fixed(layers),
        Some(Way::Store) => {
            let store = store(&layers)?;
            check_mode(mode, store.key.credential())?;
            Ok(Place::Store { store, bucket: first(&layers, |l| l.bucket.as_ref()) })
        }
        Some(Way::Vod) => vod(mode, &layers),
        None => Err(nowhere(mode)),
    }
}

fn nowhere(mode: Option<Mode>) -> Failure {
    let hint = match mode {
        None => {
            "name an application server with --server URL, or use --address and --auth, or --endpoint and --bucket, or --vod"
        }
        Some(Mode::Server) => "add --server URL",
        Some(Mode::Address) => "add --address and --auth",
        Some(Mode::Sts | Mode::Ak) => "add --endpoint and --bucket, or --vod",
    };
    Failure::usage("no place to upload to").hint(hint)
}

fn beside_the_mode(way: Way, mode: Option<Mode>) -> Failure {
    let flag = match way {
        Way::Server => "--server",
        Way::Fixed => "--address and --auth",
        Way::Store => "--endpoint",
        Way::Vod => "--vod",
    };
    let mode = match mode {
        Some(Mode::Server) => "server",
        Some(Mode::Address) => "address",
        Some(Mode::Sts) => "sts",
        Some(Mode::Ak) | None => "ak",
    };
    Failure::usage(format!("--mode {mode} does not go with {flag}"))
        .hint("leave --mode out: the other flags say which it is")
}

/// A temporary credential has a token, a plain one none.
fn check_mode(mode: Option<Mode>, credential: &Credential) -> Result<(), Failure> {
    let (message, hint) = match (mode, &credential.security_token) {
        (Some(Mode::Sts), None) => (
            "--mode sts needs a temporary access key, and this one has no security token",
            "set VODFERRY_SECURITY_TOKEN beside key id and secret, or use --mode ak",
        ),
        (Some(Mode::Ak), Some(_)) => (
            "--mode ak needs an access key that does not end, and this one has a security token",
            "unset VODFERRY_SECURITY_TOKEN, or use --mode sts",
        ),
        _ => return Ok(()),
    };
    Err(Failure::usage(message).hint(hint))
}

fn vod(mode: Option<Mode>, layers: &[&Layer; 3]) -> Result<Place, Failure> {
    let api = first(layers, |l| l.vod.as_ref())
        .ok_or_else(|| Failure::usage("no VOD API named").hint("add --vod REGION"))?;
    let key = any_key(layers)?;
    check_mode(mode, key.credential())?;
    let api = api.trim_end_matches('/').to_owned();
    Ok(Place::Vod { api, key, signature: ApiSignature::default() })
}

fn server(layers: [&Layer; 3]) -> Result<Place, Failure> {
    let [flags, environment, file] = layers;
    let typed = flags.server.as_ref().or(environment.server.as_ref());
    let Some(url) = typed.or(file.server.as_ref()) else {
        return Err(Failure::usage("no application server named").hint("add --server URL"));
    };
    let own = file.server.as_ref() == Some(url);
    let mut token = flags.token.clone().or(environment.token.clone());
    if token.is_none() {
        let keys_file = flags.keys_file.as_ref().or(environment.keys_file.as_ref());
        token = match keys_file {
            Some(path) => Some(load_keys(path)?.app_server_token.clone()),
            None if own => file.token.clone(),
            None => None,
        };
    }
    Ok(Place::Server { url: url.trim_end_matches('/').to_owned(), token, report: false })
}

fn fixed(layers: [&Layer; 3]) -> Result<Place, Failure> {
    let needed = |what: Option<Secret>, name: &str, variable: &str| {
        what.ok_or_else(|| {
            Failure::usage(format!("{name} is missing"))
                .hint(format!("address and auth belong together: add {name} or {variable}"))
        })
    };
    let address = first(&layers, |l| l.address.as_ref());
    let auth = first(&layers, |l| l.auth.as_ref());
    Ok(Place::Fixed {
        address: needed(address, "--address", "VODFERRY_ADDRESS")?,
        auth: needed(auth, "--auth", "VODFERRY_AUTH")?,
    })
}

fn store(layers: &[&Layer; 3]) -> Result<Store, Failure> {
    let endpoint = first(layers, |l| l.endpoint.as_ref())
        .ok_or_else(|| Failure::usage("no endpoint named").hint("add --endpoint URL"))?;
    let key = any_key(layers)?;
    Ok(Store { endpoint: endpoint.trim_end_matches('/').to_owned(), key })
}

fn any_key(layers: &[&Layer; 3]) -> Result<Key, Failure> {
    for layer in layers {
        if let Some(key) = layer.key()? {
            return Ok(key);
        }
    }
    Err(Failure::new(ExitCode::Auth, "no access key").hint(
        "set VODFERRY_ACCESS_KEY_ID and VODFERRY_ACCESS_KEY_SECRET, or name the server's keys with --keys-file DIR/keys.toml",
    ))
}

fn first<T: Clone>(layers: &[&Layer; 3], value: impl Fn(&Layer) -> Option<&T>) -> Option<T> {
    layers.iter().find_map(|layer| value(layer).cloned())
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(values: &[(&str, &str)]) -> Layer {
        Layer::environment(&|name| {
            let name = name.strip_prefix("VODFERRY_")?;
            values.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
        .unwrap()
    }

    fn none() -> Layer {
        Layer::default()
    }

    const KEY: [(&str, &str); 2] = [("ACCESS_KEY_ID", "AK"), ("ACCESS_KEY_SECRET", "hush")];

    #[test]
    fn the_first_layer_that_names_a_way_decides() {
        let flags = layer(&[("ENDPOINT", "http://e/"), ("BUCKET", "b")]);
        let environment = layer(&[KEY[0], KEY[1], ("SERVER", "http://env")]);
        let file = layer(&[("SERVER", "http://file")]);
        let Ok(Place::Store { store, bucket }) = resolve(None, &flags, &environment, &file) else {
            panic!("the flags name a store")
        };
        assert_eq!((store.endpoint.as_str(), bucket.as_deref()), ("http://e", Some("b")));
        assert_eq!(store.key.credential().access_key_id, "AK");

        let place = resolve(None, &none(), &environment, &file).unwrap();
        let server = Place::Server { url: "http://env".into(), token: None, report: false };
        assert_eq!(place, server);
    }

    #[test]
    fn the_files_token_goes_only_to_the_files_server() {
        let file = layer(&[("SERVER", "http://own"), ("TOKEN", "t")]);
        let token = |flags: &Layer| match resolve(None, flags, &none(), &file) {
            Ok(Place::Server { token, .. }) => token,
            other => panic!("{other:?}"),
        };
        assert_eq!(token(&none()), Some(Secret::new("t")));
        assert_eq!(token(&layer(&[("SERVER", "http://own")])), Some(Secret::new("t")));
        assert_eq!(token(&layer(&[("SERVER", "http://other")])), None);
    }

    #[test]
    fn a_credential_is_never_put_together_from_two_layers() {
        let flags = layer(&[("ENDPOINT", "http://e")]);
        let file = layer(&[("ACCESS_KEY_SECRET", "hush")]);
        let failure = resolve(None, &flags, &layer(&KEY[..1]), &file).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Auth);
        let failure = resolve(None, &flags, &none(), &none()).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Auth);
    }

    #[test]
    fn two_ways_in_one_layer_and_half_a_way_are_errors() {
        let both = layer(&[("SERVER", "s"), ("ADDRESS", "a")]);
        assert_eq!(resolve(None, &none(), &both, &none()).unwrap_err().exit, ExitCode::Usage);
        let half = layer(&[("ADDRESS", "a")]);
        assert_eq!(resolve(None, &half, &none(), &none()).unwrap_err().exit, ExitCode::Usage);
        assert_eq!(resolve(None, &none(), &none(), &none()).unwrap_err().exit, ExitCode::Usage);
    }

    #[test]
    fn a_mode_rules_out_what_others_name() {
        let key = layer(&[KEY[0], KEY[1], ("SERVER", "http://env"), ("VOD", "cn-shanghai")]);
        let place = |mode| resolve(Some(mode), &none(), &key, &none());
        assert!(matches!(place(Mode::Server), Ok(Place::Server { .. })));
        assert!(matches!(place(Mode::Ak), Ok(Place::Vod { .. })));
        for mode in [Mode::Address, Mode::Sts] {
            assert_eq!(place(mode).unwrap_err().exit, ExitCode::Usage, "{mode:?}");
        }
        let token = layer(&[KEY[0], KEY[1], ("SECURITY_TOKEN", "t"), ("ENDPOINT", "http://e")]);
        let place = |mode| resolve(Some(mode), &none(), &token, &none());
        assert!(matches!(place(Mode::Sts), Ok(Place::Store { .. })));
        assert!(place(Mode::Ak).unwrap_err().message.contains("security token"));
        let flags = layer(&[("SERVER", "http://f")]);
        let beside = resolve(Some(Mode::Ak), &flags, &key, &none()).unwrap_err();
        assert!(beside.message.contains("--mode ak does not go with --server"), "{beside}");
    }
}
