//! The trade-off as a picture: processor time against memory, a point for each setting.

use crate::page::harmless;
use crate::tune::{FigureRow, SettingRow, TuneView, Verdict, figure};
use crate::tune_text::paste;
use crate::{Page, Report};
use memshed_analysis::tune::Metric;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::fmt::Display;

/// The letters of the pictures: DejaVu Sans, Latin letters and a few signs of it.
const FONT: &[u8] = include_bytes!("../fonts/DejaVuSans-subset.ttf");
const FAMILY: &str = "sans-serif";
const SIZE: (u32, u32) = (1000, 640);
/// Of the letters at the points, in pixels.
const LETTERS: i32 = 16;

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureError(String);

impl Display for PictureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PictureError {}

fn error(error: impl Display) -> PictureError {
    PictureError(error.to_string())
}

/// A point of the picture.
struct Point {
    name: String,
    x: (f64, f64, f64),
    y: (f64, f64, f64),
    color: RGBColor,
}

const AS_IS: RGBColor = RGBColor(20, 20, 20);
const GREEN: RGBColor = RGBColor(0, 130, 60);
const ORANGE: RGBColor = RGBColor(205, 110, 0);
const GREY: RGBColor = RGBColor(125, 125, 125);
const RED_: RGBColor = RGBColor(190, 30, 30);

fn color(setting: &SettingRow) -> RGBColor {
    match setting.verdict {
        Verdict::Better => GREEN,
        Verdict::TradeOff => ORANGE,
        Verdict::Worse => RED_,
        _ => GREY,
    }
}

/// The memory that is drawn: settled where that was measured, else at the peak.
fn memory(view: &TuneView) -> Metric {
    match figure(&view.as_is, Metric::Settled) {
        Some(_) => Metric::Settled,
        None => Metric::Peak,
    }
}

/// What is drawn; the program as it is comes first.
fn points(view: &TuneView) -> Vec<Point> {
    let memory = memory(view);
    let point = |name: &str, rows: &[FigureRow], color| {
        let (x, y) = (figure(rows, Metric::Cpu)?, figure(rows, memory)?);
        let of = |row: &FigureRow, by: f64| (row.low / by, row.median / by, row.high / by);
        Some(Point {
            name: name.to_string(),
            x: of(x, 1.0),
            y: of(y, 1e6),
            color,
        })
    };
    let tried = view.settings.iter();
    let tried = tried.filter_map(|s| point(&s.name, &s.figures, color(s)));
    point("as it is", &view.as_is, AS_IS)
        .into_iter()
        .chain(tried)
        .collect()
}

/// From the least to the most, with room around.
fn range(ends: impl Iterator<Item = (f64, f64, f64)>) -> std::ops::Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, 0f64);
    for (least, _, most) in ends {
        low = low.min(least);
        high = high.max(most);
    }
    let room = ((high - low) * 0.1).max(high * 0.02).max(1e-3);
    let end = high + 2.0 * room;
    // Zero belongs to the picture unless that would press all points together.
    let begin = if low < end * 0.5 { 0.0 } else { low - room };
    begin..end
}

fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    view: &TuneView,
) -> Result<(), PictureError> {
    let points = points(view);
    if points.is_empty() {
        return Err(PictureError(
            "nothing was measured that could be drawn".into(),
        ));
    }
    // Registered twice is registered once.
    register_font(FAMILY, FontStyle::Normal, FONT).map_err(|_| error("the font is damaged"))?;
    area.fill(&WHITE).map_err(error)?;
    let at = match memory(view) {
        Metric::Settled => "Memory at the end, MB",
        _ => "Memory at its peak, MB",
    };
    let (xs, ys) = (
        range(points.iter().map(|p| p.x)),
        range(points.iter().map(|p| p.y)),
    );
    let name: String = harmless(&view.program).chars().take(60).collect();
    let mut chart = ChartBuilder::on(area)
        .caption(
            format!("{name} under settings: lower left is better"),
            (FAMILY, 21),
        )
        .margin(16)
        .margin_bottom(44)
        .x_label_area_size(46)
        .y_label_area_size(72)
        .build_cartesian_2d(xs, ys)
        .map_err(error)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc("Processor time, s")
        .y_desc(at)
        .label_style((FAMILY, 14))
        .axis_desc_style((FAMILY, 16))
        .draw()
        .map_err(error)?;
    cross(&mut chart, &points[0]).map_err(error)?;
    for point in &points {
        let style = point.color.stroke_width(1);
        let spread = [
            vec![(point.x.0, point.y.1), (point.x.2, point.y.1)],
            vec![(point.x.1, point.y.0), (point.x.1, point.y.2)],
        ];
        let lines = spread.into_iter().map(|line| PathElement::new(line, style));
        chart.draw_series(lines).map_err(error)?;
        let dot = Circle::new((point.x.1, point.y.1), 6, point.color.filled());
        chart.draw_series([dot]).map_err(error)?;
    }
    let pixels: Vec<(i32, i32)> = points
        .iter()
        .map(|p| chart.backend_coord(&(p.x.1, p.y.1)))
        .collect();
    for ((x, y), point) in labels(&pixels, &points).into_iter().zip(&points) {
        let style = TextStyle::from((FAMILY, LETTERS).into_font()).color(&point.color);
        area.draw(&Text::new(point.name.clone(), (x, y), style))
            .map_err(error)?;
    }
    legend(area)
}

/// Faint lines through the program as it is: what lies to the left of and below them is better.
fn cross<B: DrawingBackend>(
    chart: &mut ChartContext<
        B,
        Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
    >,
    as_is: &Point,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let (xs, ys) = (chart.x_range(), chart.y_range());
    let lines = [
        vec![(xs.start, as_is.y.1), (xs.end, as_is.y.1)],
        vec![(as_is.x.1, ys.start), (as_is.x.1, ys.end)],
    ];
    let style = RGBColor(165, 165, 165).stroke_width(1);
    chart.draw_series(lines.into_iter().map(|line| PathElement::new(line, style)))?;
    Ok(())
}

/// Where the names are written: beside their points, where they hide no other name or point.
fn labels(pixels: &[(i32, i32)], points: &[Point]) -> Vec<(i32, i32)> {
    type Box_ = (i32, i32, i32, i32);
    let hits = |a: &Box_, b: &Box_| a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3;
    let mut taken: Vec<Box_> = pixels
        .iter()
        .map(|(x, y)| (x - 6, y - 6, x + 6, y + 6))
        .collect();
    let mut places = Vec::new();
    for ((x, y), point) in pixels.iter().zip(points) {
        let width = point.name.chars().count() as i32 * LETTERS * 6 / 10;
        // Above to the right, to the left, then further and further below and above: beside the
        // lines of its spread, not on them.
        let tries = (0..40).flat_map(|step| {
            let away = 4 + step / 2 * LETTERS;
            let top = if step % 2 == 0 {
                y - away - LETTERS
            } else {
                y + away
            };
            [(x + 6, top), (x - 6 - width, top)]
        });
        let as_box = |(left, top): (i32, i32)| (left, top, left + width, top + LETTERS);
        let inside =
            |b: &Box_| b.0 > 75 && b.2 < SIZE.0 as i32 - 8 && b.1 > 40 && b.3 < SIZE.1 as i32 - 70;
        let free = |place: &(i32, i32)| {
            let own = as_box(*place);
            inside(&own) && !taken.iter().any(|other| hits(&own, other))
        };
        let place = tries
            .into_iter()
            .find(free)
            .unwrap_or((x + 6, y - LETTERS - 4));
        taken.push(as_box(place));
        places.push(place);
    }
    places
}

/// What the colours mean, along the lower edge.
fn legend<B: DrawingBackend>(area: &DrawingArea<B, Shift>) -> Result<(), PictureError> {
    let words = [
        ("as it is", AS_IS),
        ("better", GREEN),
        ("better, at a price", ORANGE),
        ("no better", GREY),
        ("worse", RED_),
    ];
    let (mut x, y) = (90, SIZE.1 as i32 - 20);
    for (word, color) in words {
        area.draw(&Circle::new((x, y), 4, color.filled()))
            .map_err(error)?;
        let style = TextStyle::from((FAMILY, 14).into_font()).color(&color);
        area.draw(&Text::new(word, (x + 9, y - 8), style))
            .map_err(error)?;
        x += 40 + word.len() as i32 * 8;
    }
    Ok(())
}

/// The picture as PNG.
pub fn tune_png(view: &TuneView) -> Result<Vec<u8>, PictureError> {
    let (width, height) = SIZE;
    let mut pixels = vec![0; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        draw(&area, view)?;
        area.present().map_err(error)?;
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(error)?;
    writer.write_image_data(&pixels).map_err(error)?;
    writer.finish().map_err(error)?;
    Ok(file)
}

/// The picture as SVG.
fn svg(view: &TuneView) -> Result<String, PictureError> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(&area, view)?;
        area.present().map_err(error)?;
    }
    Ok(text)
}

/// Text for HTML.
fn escaped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:1040px;margin:2em auto;\
padding:0 1em;color:#222}svg{max-width:100%;height:auto}pre{background:#f5f5f3;padding:1em;\
overflow-x:auto;font-size:13px}h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}";

/// A page of its own that needs nothing else: the picture, the lines to put, the whole report.
pub fn tune_html(view: &TuneView) -> Result<String, PictureError> {
    let page = Page::default();
    let report = strip(&view.text(&page));
    let (says, rest) = report.split_once("\n\n").unwrap_or((&report, ""));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>memshed tune: {name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>memshed tune: {name}</h1>\n<p>{}</p>\n{}\n",
        escaped(says).replace("\n  ", " ").replace('\n', "<br>\n"),
        svg(view)?,
        name = escaped(&harmless(&view.program)),
    );
    if let Some(chosen) = view
        .recommended
        .as_ref()
        .and_then(|name| view.setting(name))
    {
        out += &format!(
            "<h2>The lines for {}</h2>\n<pre>{}</pre>\n",
            escaped(&chosen.name),
            escaped(paste(chosen, &page).trim_end())
        );
    }
    out += &format!(
        "<h2>All figures</h2>\n<pre>{}</pre>\n</body>\n</html>\n",
        escaped(rest)
    );
    Ok(out)
}

/// The text without styles: they begin with an escape and end with `m`.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        match (inside, c) {
            (false, '\u{1b}') => inside = true,
            (true, 'm') => inside = false,
            (true, _) => {}
            (false, c) => out.push(c),
        }
    }
    out
}
