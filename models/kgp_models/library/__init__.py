"""Trainings from their settings file to the finished model in its folder: what `kgp train` and the library call.

Each goes on where an interrupted one with the same settings stopped, and returns a result that names the model's
folder and its figures of the test part. `progress` is a function (subject) whose result takes (done, total), and by
`loss=` the loss at present (`kgplatform.progress`). A module for each task, as each needs other libraries.
"""
