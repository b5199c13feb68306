//! Where uploads go and who permits it, put together from flags, environment and configuration file.
//!
//! The three ways (an application server; an address and auth; an endpoint with an access key) exclude each other. The first layer
//! that names one of them decides which: a flag `--endpoint` is not disturbed by a `server` in the configuration file. What else that
//! way needs is then taken from the first layer that has it, with one exception: the token of the configuration file goes only to the
//! server of the configuration file, because a bearer token sent to another server is a token lost.

use std::path::{Path, PathBuf};

use vodferry::{Credential, Secret};
use vodferry_server::keys::Keys;

use crate::cli::{PlaceArgs, StoreArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::settings::Settings;

/// One way to be allowed to upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The application server says where each file goes.
    Server { url: String, token: Option<Secret> },
    /// One file goes where the address says.
    Fixed { address: Secret, auth: Secret },
    /// Into a bucket, with keys of one's own.
    Store { store: Store, bucket: Option<String> },
}

/// An object storage and the key to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Store {
    pub(crate) endpoint: String,
    pub(crate) credential: Credential,
}

impl Place {
    /// The place that flags, environment and `settings` name.
    pub(crate) fn resolve(flags: &PlaceArgs, settings: &Settings) -> Result<Place, Failure> {
        resolve(&Layer::flags(flags), &Layer::environment(&environment), &Layer::file(settings))
    }
}

impl Store {
    /// The storage that flags, environment and `settings` name.
    pub(crate) fn resolve(flags: &StoreArgs, settings: &Settings) -> Result<Store, Failure> {
        let flags = Layer {
            endpoint: flags.endpoint.clone(),
            keys_file: flags.keys_file.clone(),
            ..Layer::default()
        };
        let (environment, file) = (Layer::environment(&environment), Layer::file(settings));
        store(&[&flags, &environment, &file])
    }
}

/// What one source of settings says about the place.
#[derive(Default)]
struct Layer {
    server: Option<String>,
    token: Option<Secret>,
    address: Option<Secret>,
    auth: Option<Secret>,
    endpoint: Option<String>,
    bucket: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<Secret>,
    security_token: Option<Secret>,
    keys_file: Option<PathBuf>,
}

/// The three ways.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Server,
    Fixed,
    Store,
}

impl Layer {
    fn flags(flags: &PlaceArgs) -> Layer {
        Layer {
            server: flags.server.clone(),
            token: flags.token.as_deref().map(Secret::new),
            address: flags.address.as_deref().map(Secret::new),
            auth: flags.auth.as_deref().map(Secret::new),
            endpoint: flags.endpoint.clone(),
            bucket: flags.bucket.clone(),
            keys_file: flags.keys_file.clone(),
            ..Layer::default()
        }
    }

    fn environment(variable: &dyn Fn(&str) -> Option<String>) -> Layer {
        let secret = |name| variable(name).map(Secret::new);
        Layer {
            server: variable("VODFERRY_SERVER"),
            token: secret("VODFERRY_TOKEN"),
            address: secret("VODFERRY_ADDRESS"),
            auth: secret("VODFERRY_AUTH"),
            endpoint: variable("VODFERRY_ENDPOINT"),
            bucket: variable("VODFERRY_BUCKET"),
            access_key_id: variable("VODFERRY_ACCESS_KEY_ID"),
            access_key_secret: secret("VODFERRY_ACCESS_KEY_SECRET"),
            security_token: secret("VODFERRY_SECURITY_TOKEN"),
            keys_file: variable("VODFERRY_KEYS_FILE").map(PathBuf::from),
        }
    }

    fn file(settings: &Settings) -> Layer {
        let secret = |text: &Option<String>| text.as_deref().map(Secret::new);
        Layer {
            server: settings.server.clone(),
            token: secret(&settings.token),
            address: None,
            auth: None,
            endpoint: settings.endpoint.clone(),
            bucket: settings.bucket.clone(),
            access_key_id: settings.access_key_id.clone(),
            access_key_secret: secret(&settings.access_key_secret),
            security_token: secret(&settings.security_token),
            keys_file: settings.keys_file.clone(),
        }
    }

    /// The way that this layer names; two are an error.
    fn way(&self, name: &str) -> Result<Option<Way>, Failure> {
        let named = [
            (Way::Server, self.server.is_some()),
            (Way::Fixed, self.address.is_some() || self.auth.is_some()),
            (Way::Store, self.endpoint.is_some()),
        ];
        let mut named = named.into_iter().filter(|(_, is)| *is).map(|(way, _)| way);
        let way = named.next();
        match named.next() {
            None => Ok(way),
            Some(_) => Err(Failure::usage(format!(
                "{name} names more than one of server, address and auth, and endpoint"
            ))),
        }
    }
}

fn resolve(flags: &Layer, environment: &Layer, file: &Layer) -> Result<Place, Failure> {
    let layers = [flags, environment, file];
    let way = match flags.way("the command line")? {
        Some(way) => Some(way),
        // A bucket alone is no way, but it says that none of the others is meant.
        None if flags.bucket.is_some() => Some(Way::Store),
        None => match environment.way("the environment")? {
            Some(way) => Some(way),
            None => file.way("the configuration file")?,
        },
    };
    match way {
        Some(Way::Server) => server(layers),
        Some(Way::Fixed) => fixed(layers),
        Some(Way::Store) => {
            Ok(Place::Store { store: store(&layers)?, bucket: first(&layers, |l| l.bucket.as_ref()) })
        }
        None => Err(Failure::usage("no place to upload to").hint(
            "name an application server with --server URL, or use --address and --auth, or --endpoint and --bucket",
        )),
    }
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
    Ok(Place::Server { url: url.trim_end_matches('/').to_owned(), token })
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
    for layer in layers {
        // An id, its secret and its token belong together: parts of two layers never make a credential.
        if let Some(credential) = credential(layer)? {
            return Ok(Store { endpoint: endpoint.trim_end_matches('/').to_owned(), credential });
        }
    }
    Err(Failure::new(ExitCode::Auth, "no access key").hint(
        "set VODFERRY_ACCESS_KEY_ID and VODFERRY_ACCESS_KEY_SECRET, or name the server's keys with --keys-file DIR/keys.toml",
    ))
}

fn credential(layer: &Layer) -> Result<Option<Credential>, Failure> {
    match (&layer.access_key_id, &layer.access_key_secret, &layer.keys_file) {
        (Some(id), Some(secret), _) => Ok(Some(Credential {
            access_key_id: id.clone(),
            access_key_secret: secret.clone(),
            security_token: layer.security_token.clone(),
        })),
        (None, None, Some(path)) => {
            let keys = load_keys(path)?;
            let root = keys.root().ok_or_else(|| {
                Failure::new(ExitCode::Auth, format!("{} holds no access key", path.display()))
            })?;
            Ok(Some(Credential {
                access_key_id: root.id.clone(),
                access_key_secret: root.secret.clone(),
                security_token: None,
            }))
        }
        (None, None, None) => Ok(None),
        (Some(_), None, _) | (None, Some(_), _) => {
            Err(Failure::new(ExitCode::Auth, "half an access key: id and secret belong together")
                .hint("set both VODFERRY_ACCESS_KEY_ID and VODFERRY_ACCESS_KEY_SECRET, or neither"))
        }
    }
}

fn load_keys(path: &Path) -> Result<Keys, Failure> {
    use vodferry_server::keys::KeysError;
    Keys::load(path).map_err(|error| match &error {
        KeysError::Io { source, .. } => Failure::file("read", path, source)
            .hint("the keys file is keys.toml in the data folder of `vodferry serve`"),
        _ => Failure::new(ExitCode::File, error.to_string()),
    })
}

fn first<T: Clone>(layers: &[&Layer; 3], value: impl Fn(&Layer) -> Option<&T>) -> Option<T> {
    layers.iter().find_map(|layer| value(layer).cloned())
}

/// A variable that is set to nothing counts as not set.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(values: &[(&str, &str)]) -> Layer {
        Layer::environment(&|name| {
            let name = name.strip_prefix("VODFERRY_")?;
            values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
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
        let Ok(Place::Store { store, bucket }) = resolve(&flags, &environment, &file) else {
            panic!("the flags name a store")
        };
        assert_eq!((store.endpoint.as_str(), bucket.as_deref()), ("http://e", Some("b")));
        assert_eq!(store.credential.access_key_id, "AK");

        let place = resolve(&none(), &environment, &file).unwrap();
        assert_eq!(place, Place::Server { url: "http://env".into(), token: None });
    }

    #[test]
    fn the_files_token_goes_only_to_the_files_server() {
        let file = layer(&[("SERVER", "http://own"), ("TOKEN", "t")]);
        let token = |flags: &Layer| match resolve(flags, &none(), &file) {
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
        let failure = resolve(&flags, &layer(&KEY[..1]), &file).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Auth);
        let failure = resolve(&flags, &none(), &none()).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Auth);
    }

    #[test]
    fn two_ways_in_one_layer_and_half_a_way_are_errors() {
        let both = layer(&[("SERVER", "s"), ("ADDRESS", "a")]);
        assert_eq!(resolve(&none(), &both, &none()).unwrap_err().exit, ExitCode::Usage);
        let half = layer(&[("ADDRESS", "a")]);
        assert_eq!(resolve(&half, &none(), &none()).unwrap_err().exit, ExitCode::Usage);
        assert_eq!(resolve(&none(), &none(), &none()).unwrap_err().exit, ExitCode::Usage);
    }
}
