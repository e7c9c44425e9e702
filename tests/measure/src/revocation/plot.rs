//! The report as a picture: for each class of routes, which share of dead sessions was let in for how long.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::fault::Fault;
use super::report::{Report, Scenario};

const WIDTH: u32 = 1060;
const PANEL: u32 = 300;
const LEGEND: u32 = 250;
const HEAD: u32 = 44;
/// Seconds, on a logarithmic scale. What was not let in once stands at the left edge.
const LEFT: f64 = 0.01;
const RIGHT: f64 = 200.0;
const FONT: &str = "sans-serif";

/// Colours that people who see few of them can tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
];
const GREY: RGBColor = RGBColor(120, 120, 120);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Times, and how they are drawn.
struct Line {
    name: String,
    style: ShapeStyle,
    dashed: bool,
    /// The share at each time: it grows with every one.
    points: Vec<(f64, f64)>,
}

/// The picture.
///
/// # Errors
/// Something cannot be drawn.
pub(super) fn svg(report: &Report) -> Result<String> {
    let classes = report
        .scenarios
        .first()
        .map_or(&[][..], |scenario| &scenario.classes);
    let height = HEAD + PANEL * u32::try_from(classes.len())?;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(HEAD);
        let title = format!(
            "How long a session is let in after its logout was answered: {}",
            report.title()
        );
        head.draw(&Text::new(title, (14, 16), (FONT, 17)))?;
        let (panels, legend) = body.split_horizontally(WIDTH - LEGEND);
        let panels = panels.split_evenly((classes.len(), 1));
        for (panel, class) in panels.iter().zip(classes) {
            let lines = lines(report, &class.name);
            let title = format!("{} routes: {} s", class.name, class.bound);
            draw(panel, &title, class.bound, &lines)?;
            if class == &classes[0] {
                explain(&legend, &lines)?;
            }
        }
        root.present()?;
    }
    Ok(text)
}

fn lines(report: &Report, class: &str) -> Vec<Line> {
    let measured = report.scenarios.iter().filter_map(|scenario| {
        let class = scenario.classes.iter().find(|known| known.name == class)?;
        let times = class.times().into_iter().map(Some);
        let colour = COLOURS.get(scenario.fault as usize).unwrap_or(&GREY);
        Some(Line {
            name: scenario.fault.name().to_owned(),
            style: colour.stroke_width(2),
            dashed: false,
            points: growing(times.collect()),
        })
    });
    let alone = report.scenarios.iter().filter_map(|scenario| {
        let name = match scenario.fault {
            Fault::None => "KV alone (computed)",
            Fault::KvLagging => "KV alone, lag 0-60 s (computed)",
            _ => return None,
        };
        Some(kv_alone(scenario, name))
    });
    measured.chain(alone).collect()
}

fn kv_alone(scenario: &Scenario, name: &str) -> Line {
    let colour = match scenario.fault {
        Fault::KvLagging => COLOURS[1],
        _ => GREY,
    };
    Line {
        name: name.to_owned(),
        style: colour.stroke_width(2),
        dashed: true,
        points: growing(scenario.kv_alone.clone()),
    }
}

/// What never came to an end counts, and is nowhere.
fn growing(times: Vec<Option<f64>>) -> Vec<(f64, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let step = 1.0 / times.len().max(1) as f64;
    let mut times: Vec<f64> = times.into_iter().flatten().collect();
    times.sort_by(f64::total_cmp);
    let mut points = vec![(LEFT, 0.0)];
    let mut share = 0.0;
    for time in times {
        let time = time.clamp(LEFT, RIGHT);
        points.push((time, share));
        share += step;
        points.push((time, share));
    }
    points.push((RIGHT, share));
    points
}

fn draw(area: &Area<'_>, title: &str, bound: f64, lines: &[Line]) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(title, (FONT, 16))
        .x_label_area_size(38)
        .y_label_area_size(56)
        .build_cartesian_2d((LEFT..RIGHT).log_scale(), 0.0..1.02)?;
    chart
        .configure_mesh()
        .x_desc("seconds until the last request that was let in (at the left edge: none was)")
        .y_desc("share of logouts × edges")
        .x_label_formatter(&|time| time.to_string())
        .y_label_formatter(&|share: &f64| format!("{:.0} %", share * 100.0))
        .y_labels(6)
        .light_line_style(RGBColor(238, 238, 238))
        .label_style((FONT, 12))
        .draw()?;
    let red = RGBColor(200, 0, 0);
    chart.draw_series(LineSeries::new([(bound, 0.0), (bound, 1.02)], red))?;
    let label = (FONT, 12).into_font().color(&red);
    chart.draw_series([Text::new(" the bound", (bound, 0.08), label)])?;
    for line in lines {
        let points = line.points.iter().copied();
        if line.dashed {
            chart.draw_series(DashedLineSeries::new(points, 6, 4, line.style))?;
        } else {
            chart.draw_series(LineSeries::new(points, line.style))?;
        }
    }
    Ok(())
}

fn explain(area: &Area<'_>, lines: &[Line]) -> Result<()> {
    let mut at = 40;
    for line in lines {
        let dashes: &[(i32, i32)] = if line.dashed {
            &[(0, 9), (13, 22)]
        } else {
            &[(0, 22)]
        };
        for (from, to) in dashes {
            area.draw(&PathElement::new(vec![(*from, at), (*to, at)], line.style))?;
        }
        area.draw(&Text::new(line.name.clone(), (30, at - 7), (FONT, 13)))?;
        at += 22;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::report;

    #[test]
    fn every_fault_is_drawn_and_explained() {
        let svg = svg(&report::example()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in [
            "strict routes: 2 s",
            "serve routes: 60 s",
            "KV alone (computed)",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_share_grows_to_those_that_came_to_an_end() {
        let points = growing(vec![Some(5.0), None, Some(-1.0), Some(1e9)]);
        assert_eq!(points.first(), Some(&(LEFT, 0.0)));
        assert_eq!(points.last(), Some(&(RIGHT, 0.75)));
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }
}
