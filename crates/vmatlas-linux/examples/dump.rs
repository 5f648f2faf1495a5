fn main() {
    let path = std::env::args().nth(1).unwrap();
    let file = vmatlas_linux::record::RecordingFile::new(std::fs::File::open(path).unwrap()).unwrap();
    let r = vmatlas::recording::Recording::open(file).unwrap();
    let _ = r.events(1, |e| {
        if !matches!(e.what, vmatlas::recording::What::Fault { .. }) { println!("{e:?}"); }
        std::ops::ControlFlow::Continue(())
    });
}
