//! The libraries that the config names, loaded.

use super::kinds::Kinds;
use crate::{
    config::{Loaded, Plugin, Severity},
    plugin::{
        host,
        image::{Image, Images},
        open,
        refused::{At, Refused},
    },
    runtime::host::Process,
};

/// All kinds that the config can name: those that are linked in, and those of its plugins.
pub(super) fn compile<'a>(loaded: &'a Loaded, process: &Process) -> Kinds<'a> {
    let mut kinds = Kinds::default();
    for (name, table) in loaded.config.plugins.iter() {
        let image = process.images.as_ref().and_then(|images| {
            host::serve(&process.host);
            load(loaded, images, name, table)
        });
        match image {
            Some(image) => kinds.images.push(image),
            None => {
                kinds.withheld.insert(name);
            }
        }
        if !is_used(loaded, name) {
            loaded.report_key(
                &["plugins", name],
                Severity::Warning,
                format!("nothing uses the plugin `{name}`"),
                Some(match image {
                    Some(image) => format!("name one of its kinds: {}", kinds_of(image)),
                    None => format!("name one of its kinds: kind = \"{name}/…\""),
                }),
            );
        }
    }
    kinds
}

fn load(loaded: &Loaded, images: &Images, name: &str, table: &Plugin) -> Option<&'static Image> {
    if table.path.as_os_str().is_empty() {
        // Either there is none, which has been told of, or it is the folder itself.
        let section = loaded.section(&["plugins", name])?;
        if section.node().child("path").is_some() {
            section.report(&["path"], "this is no path");
        }
        return None;
    }
    let pin = table.sha256.map(|pin| pin.0);
    let image = open::absolute(&loaded.folder, &table.path)
        .map_err(|error| Refused::unopened(&table.path, &error))
        .and_then(|path| images.load(&path, pin));
    let image = match image {
        Ok(image) => image,
        Err(refused) => {
            tell(loaded, name, refused);
            return None;
        }
    };
    if image.name != name {
        tell(loaded, name, Refused::misnamed(image.name));
        return None;
    }
    Some(image)
}

fn tell(loaded: &Loaded, name: &str, refused: Refused) {
    let Refused { at, message, help } = refused;
    let Some(section) = loaded.section(&["plugins", name]) else {
        return;
    };
    match at {
        At::Name => loaded.report_key(&["plugins", name], Severity::Error, message, help),
        At::Path => section.report_value(&["path"], message, help),
        At::Pin => section.report_value(&["sha256"], message, help),
    }
}

/// Whether any stage or provider is of a kind of this plugin's.
fn is_used(loaded: &Loaded, name: &str) -> bool {
    let stages = loaded.config.stages.iter().map(|(_, stage)| &stage.kind);
    let providers = loaded
        .config
        .providers
        .iter()
        .map(|(_, provider)| &provider.kind);
    let plugin_of = |kind: &'_ Option<String>| Some(kind.as_ref()?.split_once('/')?.0 == name);
    stages
        .chain(providers)
        .any(|kind| plugin_of(kind) == Some(true))
}

fn kinds_of(image: &Image) -> String {
    let stages = image.stages.iter().map(|kind| kind.kind);
    let kinds = stages.chain(image.providers.iter().map(|kind| kind.kind));
    kinds
        .map(|kind| format!("`{kind}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
