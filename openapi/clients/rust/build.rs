//! Generates the client from `openapi.json`.

use std::{env, error::Error, fs, path::Path};

use progenitor::{GenerationSettings, Generator, InterfaceStyle};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=openapi.json");
    // progenitor knows one media type for JSON; with it, errors are `Error<Problem>`
    let document = fs::read_to_string("openapi.json")?.replace("application/problem+json", "application/json");
    let document = serde_json::from_str(&document)?;
    let mut generator = Generator::new(GenerationSettings::new().with_interface(InterfaceStyle::Builder));
    let code = prettyplease::unparse(&syn::parse2(generator.generate_tokens(&document)?)?);
    fs::write(Path::new(&env::var("OUT_DIR")?).join("chat.rs"), code)?;
    Ok(())
}
