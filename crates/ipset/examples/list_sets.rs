//! Prints the kernel's sets as `ipset save` does. Needs root.
//!
//! ```text
//! cargo run -p ipset --features client --example list_sets [NAME…]
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use ipset::SetName;
use ipset::client::Client;

fn main() -> Result<(), Box<dyn Error>> {
    let mut client = Client::open()?;
    let names: Vec<SetName> = (std::env::args().skip(1))
        .map(|name| SetName::new(&name))
        .collect::<Result<_, _>>()?;
    let mut sets = BTreeMap::new();
    if names.is_empty() {
        sets = client.list()?;
    }
    for name in names {
        let set = client.set(&name)?;
        let set = set.ok_or_else(|| format!("set {name} does not exist"))?;
        sets.insert(name, set);
    }
    print!("{}", ipset::text::print(&sets));
    Ok(())
}
