"""What the profiler has measured, as tables: `smdebug.profiler.analysis.utils`.

profiler_data_to_pandas       `PandasFrame`: metrics and events as tables
pandas_data_analysis          `PandasFrameAnalysis`: statistics of them
pytorch_dataloader_analysis   `PT_dataloader_analysis`: what loaders did
merge_timelines               `MergedTimeline`: all in one Chrome trace
python_profile_analysis_utils  what `python_profile_analysis` gives
"""
