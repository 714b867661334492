//! Plots the duration of a first sync by the number of Services, from `results.json` in a folder to
//! `plot.svg` and `plot.png`. `cargo xtask bench` runs it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use serde_json::Value;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// From Debian's package `fonts-dejavu-core`.
const FONT: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";

/// Points of each line: number of Services, seconds.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// The plotted curves, as operation and program.
const DRAWN: [(&str, &str); 7] = [
    ("cold sync", "kube-ipvs"),
    ("restart", "kube-ipvs"),
    ("write servers", "kube-ipvs"),
    ("write servers", "limit"),
    ("write servers", "ipvsadm -R"),
    ("write servers", "keepalived"),
    ("endpoint added", "kube-ipvs"),
];

fn main() -> Outcome {
    let folder = std::env::args().nth(1).ok_or("usage: plot FOLDER")?;
    let folder = Path::new(&folder);
    let results: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("results.json"))?)?;
    let lines = lines(&results);
    if lines.is_empty() {
        eprintln!("plot: the results have none of the plotted operations");
        return Ok(());
    }
    // An SVG viewer has its own fonts. Pixels, and the width of text, need a font here.
    let font: &'static [u8] = fs::read(FONT)
        .map_err(|error| format!("{FONT}, of the package fonts-dejavu-core: {error}"))?
        .leak();
    register_font("sans-serif", FontStyle::Normal, font).map_err(|_| "the font cannot be used")?;
    let svg = folder.join("plot.svg");
    draw(
        &SVGBackend::new(&svg, (1000, 640)).into_drawing_area(),
        &lines,
    )?;
    let png = folder.join("plot.png");
    draw(
        &BitMapBackend::new(&png, (1000, 640)).into_drawing_area(),
        &lines,
    )
}

/// Returns medians of IPv4 only. If a number of Services was measured with several numbers of
/// endpoints, those with ten.
fn lines(results: &[Value]) -> Lines {
    let mut times: BTreeMap<(String, u64), Vec<f64>> = BTreeMap::new();
    let sizes: Vec<&str> = results
        .iter()
        .filter_map(|line| line["size"].as_str())
        .collect();
    for line in results {
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let (operation, who, size) = (text("operation"), text("who"), text("size"));
        let services = line["services"].as_u64().unwrap_or_default();
        let ten = format!("{services}x10");
        let chosen = size == ten || (!sizes.contains(&&*ten) && !size.ends_with("-dual"));
        if let (true, true, Some(seconds)) = (
            chosen,
            DRAWN.contains(&(operation, who)),
            line["seconds"].as_f64(),
        ) {
            let key = (format!("{operation}: {who}"), services);
            times.entry(key).or_default().push(seconds);
        }
    }
    let mut lines = Lines::new();
    for ((name, services), mut seconds) in times {
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        lines
            .entry(name)
            .or_default()
            .push((services as f64, median));
    }
    lines
}

fn draw<B: DrawingBackend>(area: &DrawingArea<B, Shift>, lines: &Lines) -> Outcome
where
    B::ErrorType: Send + Sync + 'static,
{
    area.fill(&WHITE)?;
    let points = || lines.values().flatten();
    let least = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    let decades = |least: f64, most: f64| {
        let whole = |value: f64| 10_f64.powf(value);
        (whole(least.log10().floor())..whole(most.log10().ceil())).log_scale()
    };
    let across = decades(least(|p| p.0), most(|p| p.0));
    let up = decades(least(|p| p.1), most(|p| p.1));
    let mut chart = ChartBuilder::on(area)
        .caption("Time by number of Services, IPv4", ("sans-serif", 22))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(across, up)?;
    (chart.configure_mesh())
        .x_desc("Services")
        .y_desc("seconds")
        .x_label_formatter(&|value| format!("{value}"))
        .y_label_formatter(&|value| format!("{value}"))
        .light_line_style(WHITE)
        .draw()?;
    for (number, (name, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(number).stroke_width(2);
        let style = color;
        (chart.draw_series(LineSeries::new(points.iter().copied(), style).point_size(4))?)
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    (chart.configure_series_labels())
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
