//! `product add`, `product rotate`, `renew` and `documents`: what the targets' and the products'
//! people change without a new release.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use release::folder::write_bundle;
use release::tuf::{ProductEdition, ProductRole, RoleKeys, TargetsEdition};
use release::{Bundle, LeaseKeys, Name};

use crate::keys::{public_key, signing_keys};
use crate::workshop::{Workshop, refs};
use crate::{ProductArgs, RepoArgs, days_ms};

#[derive(Args)]
pub(crate) struct ProductAdd {
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    products: ProductArgs,
    /// Private keys of those who may name products.
    #[arg(long = "targets-key", value_name = "FILE", required = true)]
    targets_keys: Vec<PathBuf>,
    /// How long the top-level targets are good.
    #[arg(long, default_value_t = 730)]
    targets_days: u32,
}

#[derive(Args)]
pub(crate) struct ProductRotate {
    #[command(flatten)]
    change: ProductAdd,
    /// Private keys of the products' new people, who sign their documents anew.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// How long the products' documents are good.
    #[arg(long, default_value_t = 365)]
    days: u32,
}

#[derive(Args)]
pub(crate) struct Renew {
    #[command(flatten)]
    repo: RepoArgs,
    /// The product whose document is written anew; the top-level targets when absent.
    #[arg(long)]
    product: Option<Name>,
    /// Private keys of those who sign now.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// How long the document is good.
    #[arg(long, default_value_t = 365)]
    days: u32,
}

#[derive(Args)]
pub(crate) struct DocumentsOut {
    #[command(flatten)]
    repo: RepoArgs,
    /// Where they go: a new or empty folder, for `flashline-hub publish`.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

impl ProductArgs {
    /// The products and their people, as the command line names them.
    pub(crate) fn roles(&self) -> Result<Vec<ProductRole>> {
        self.products.iter().map(|text| self.role(text)).collect()
    }

    fn role(&self, text: &str) -> Result<ProductRole> {
        let (name, files) =
            text.split_once('=').context("a product is given as NAME=KEY.pub[,KEY.pub…]")?;
        let keys: Result<Vec<_>> =
            files.split(',').map(|file| public_key(Path::new(file))).collect();
        if self.product_threshold < 2 {
            eprintln!("warning: one person alone can release {name}; 2 of 3 is recommended");
        }
        let keys = RoleKeys { keys: keys?, threshold: self.product_threshold };
        Ok(ProductRole { product: Name::new_product(name)?, keys })
    }
}

pub(crate) fn product_add(args: &ProductAdd, now_ms: i64) -> Result<()> {
    let workshop = Workshop::open(&args.repo)?;
    args.write(&workshop, now_ms, |edition, product| Ok(edition.add(product)?))
}

pub(crate) fn product_rotate(args: &ProductRotate, now_ms: i64) -> Result<()> {
    let workshop = Workshop::open(&args.change.repo)?;
    let products = args.change.products.roles()?;
    args.change.write(&workshop, now_ms, |edition, product| Ok(edition.rotate(product)?))?;
    let keys = signing_keys(&args.keys)?;
    for ProductRole { product, keys: role } in products {
        let Some(last) = workshop.document(product.as_str())? else { continue };
        let own: Vec<_> = keys.iter().filter(|key| role.keys.contains(&key.public())).collect();
        let edition = ProductEdition::read(&product, &last)?;
        workshop.replace(product.as_str(), &edition.write(now_ms + days_ms(args.days), &own)?)?;
        println!("product    {product}: signed by {} of the {} needed", own.len(), role.threshold);
    }
    Ok(())
}

impl ProductAdd {
    /// Writes the next targets, with each named product changed by `put`.
    fn write(
        &self,
        workshop: &Workshop,
        now_ms: i64,
        put: impl Fn(&mut TargetsEdition, ProductRole) -> Result<()>,
    ) -> Result<()> {
        let last = workshop.document("targets")?.context("the folder has no targets.json")?;
        let mut edition = TargetsEdition::read(&last)?;
        for product in self.products.roles()? {
            put(&mut edition, product)?;
        }
        let lease_keys = LeaseKeys::from_bytes(&workshop.lease_keys()?)?;
        let keys = signing_keys(&self.targets_keys)?;
        let next = edition.write(now_ms + days_ms(self.targets_days), &lease_keys, &refs(&keys))?;
        workshop.replace("targets", &next)?;
        for product in edition.products() {
            println!(
                "product {} ({} of {} keys)",
                product.product,
                product.keys.threshold,
                product.keys.keys.len()
            );
        }
        Ok(())
    }
}

pub(crate) fn renew(args: &Renew, now_ms: i64) -> Result<()> {
    let workshop = Workshop::open(&args.repo)?;
    let keys = signing_keys(&args.keys)?;
    let expires_ms = now_ms + days_ms(args.days);
    let role = args.product.as_ref().map_or("targets", Name::as_str);
    let last = workshop.document(role)?.with_context(|| format!("there is no {role}.json"))?;
    let next = match &args.product {
        Some(product) => ProductEdition::read(product, &last)?.write(expires_ms, &refs(&keys))?,
        None => {
            let lease_keys = LeaseKeys::from_bytes(&workshop.lease_keys()?)?;
            TargetsEdition::read(&last)?.write(expires_ms, &lease_keys, &refs(&keys))?
        }
    };
    workshop.replace(role, &next)?;
    println!("renewed    {role}.json for {} days; publish it with `documents`", args.days);
    Ok(())
}

pub(crate) fn documents(args: &DocumentsOut, now_ms: i64) -> Result<()> {
    let workshop = Workshop::open(&args.repo)?;
    let bundle = Bundle::from_files(workshop.documents()?)?;
    let checked = bundle
        .clone()
        .check_documents(&workshop.root, now_ms)
        .context("the documents would be refused")?;
    write_bundle(&bundle, &args.out)?;
    println!("root       {} sha256 {}", checked.root_version(), workshop.newest.digest());
    for listed in checked.releases() {
        let state = if listed.withdrawn { "withdrawn" } else { "good" };
        println!("release    {} {} {state}", listed.product, listed.version);
    }
    println!("documents  {}", args.out.display());
    Ok(())
}
