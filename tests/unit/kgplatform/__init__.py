"""Tests of the package kgplatform, folder by folder."""
