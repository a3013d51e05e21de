//! The mock upstream alone: `mock [ADDRESS] [SCRIPT]`, where SCRIPT is a plan in JSON.

use std::error::Error;

use millgate::mock::{self, Options};

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "its address is what it is started for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options::default();
    if let Some(listen) = arguments.next() {
        options.listen = listen.parse()?;
    }
    if let Some(script) = arguments.next() {
        options.script = Some(script.parse()?);
    }
    match mock::serve(options, |address| println!("listening on http://{address}")).await? {}
}
